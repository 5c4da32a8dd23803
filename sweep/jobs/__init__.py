"""A sweep as a job of a Ray cluster: packed here, checked and run there."""
