"""What is not about models: command lines, files, errors, devices, seeds, manifests, progress."""
