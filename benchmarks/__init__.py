"""Measurements of the product, and the training of its tiny models: in the repository alone.

`python -m mom_council.benchmarks` measures what orchestration costs (`make bench`). `measure` and
`replayed` measure the decision rules on recorded answers. `tiny` makes the embedded models.
"""
