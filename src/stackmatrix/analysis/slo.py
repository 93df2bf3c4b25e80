"""The largest rate at which a stack keeps a service level: asked for in words, searched for, judged."""
