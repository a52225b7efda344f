"""Labels of whole volumes: what a scan shows, not where."""
