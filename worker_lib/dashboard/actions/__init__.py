"""What people may do, each noun a module with its `Action`s."""
