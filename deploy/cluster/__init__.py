"""A small cluster on one machine, to try conversions on and to test them: Flink, Spark, Prism.

python -m deploy.cluster fetch          the engines, once, by Maven and Go
python -m deploy.cluster flink          a Flink cluster; prints what `shardmill convert` needs of it
"""
