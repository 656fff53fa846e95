"""What a picture looks like to a network: encoders, perceptual losses, LPIPS, colour statistics."""
