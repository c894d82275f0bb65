"""The same models on an Apache Spark cluster, and their result back in the private warehouse."""
