"""What people look at: overlay, markers, the terminal."""
