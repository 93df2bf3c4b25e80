"""Is it the same service? Every check that holds a running stack to contract/openapi.yaml."""
