"""Evaluation: whether a council is better than its members, measured on your own data.

`record` keeps what models answer, `run` plays a council against its baselines, `scorers` say what
is right, `rules` count recorded answers in other ways, `audit` says whom to drop, `fitting` teaches
the ledger, and `fact_retention` looks at what a synthesis retains.
"""
