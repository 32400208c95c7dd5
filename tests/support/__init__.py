"""What tests share: servers, peers, faults, dialogs."""
