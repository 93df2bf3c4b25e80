"""What an experiment's own measurements say of its claims."""
