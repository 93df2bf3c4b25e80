"""The largest rate at which an arm keeps a service level."""
