"""Students: recipes, the store of trained adapters, job folders and the trainer that works on them."""

from pytest_distill.student.recipe import Recipe as Recipe
