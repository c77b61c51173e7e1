"""Trans of disks: serves the guest, writes to both sets, and copies behind its back."""
