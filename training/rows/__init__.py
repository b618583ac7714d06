"""How the rows of the tasks were made: for each task a script and its banks of written text.

python -m training.rows.query_rewriting                                                    # writes tasks/data/query_rewriting
python -m training.rows.query_rewriting --out build/rows/query_rewriting --rows 14000      # further rows for the teacher alone
"""
