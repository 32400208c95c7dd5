"""The one place that says yes or no; every decision is a value."""
