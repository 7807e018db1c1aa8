"""A small cluster on one machine: Flink, Spark, Prism.

python -m tests.clusters.testbed fetch    the engines, once, by Maven and Go
python -m tests.clusters.testbed flink    a Flink cluster; prints the flags that `convert` needs
"""
