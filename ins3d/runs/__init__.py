"""What all trainings outside nerfstudio share: settings, objective, steps, resuming, records."""
