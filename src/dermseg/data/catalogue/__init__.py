"""The catalogue: what is known of each public data set, and where its files are."""
