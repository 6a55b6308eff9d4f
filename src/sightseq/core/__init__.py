"""What all projects have in common; knows no dataset, no network and no task of theirs."""
