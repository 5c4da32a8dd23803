"""The YAML's reference: a JSON Schema for editors, and a page for people."""
