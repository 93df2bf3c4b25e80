"""What a trial costs: CPU, memory, threads and upstream work, read from outside the stack."""
