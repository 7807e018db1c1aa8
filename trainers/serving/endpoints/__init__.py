"""Handlers of requests: REST, KServe's V2 protocol, health, the page."""
