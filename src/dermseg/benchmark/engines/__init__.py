"""Where the cells of a benchmark run: this machine, a Ray cluster, or a Slurm cluster."""
