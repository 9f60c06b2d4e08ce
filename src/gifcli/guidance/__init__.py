"""How a latent is perturbed, and how the perturbation climbs the guides' score."""
