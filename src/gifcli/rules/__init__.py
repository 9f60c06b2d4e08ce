"""What the seeds of a set say of each class: prototypes, clusters, temperature and quantiles, frozen after extract."""
