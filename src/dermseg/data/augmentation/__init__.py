"""The parts of `dermseg.data.augment`, in the order in which a camera meets them: scene, light, sensor."""
