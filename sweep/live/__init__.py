"""What people see of a sweep: while it runs, from elsewhere, and after it."""
