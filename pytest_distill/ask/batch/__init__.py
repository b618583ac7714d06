"""Collect replies through a provider's Batch API: submitted in files, noted on disk at every step, collected within a day."""

from pytest_distill.ask.batch.collection import BatchCollection as BatchCollection
