"""What GitHub shows of a result: annotations, the step's summary, outputs and the exit status. Computes nothing.

``python -P -m pytest_distill.github results.json --mode locked --status 0`` is the whole second step of the action.
"""
