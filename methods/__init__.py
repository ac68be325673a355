"""Semi-supervised learning methods: one file each, all behind `methods.base.Method`."""
