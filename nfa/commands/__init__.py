"""The commands of the command line, a file each: parsing and printing, nothing else."""
