"""Priors made of diffusers checkpoints: Stable Diffusion 1 and 2, SDXL, their turbo and LCM kin, and Stable unCLIP."""
