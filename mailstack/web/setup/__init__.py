"""How mail programs set themselves up: autoconfig, Autodiscover, Apple's profiles, and pages for people."""
