"""Building blocks shared by the models; maps are channels-last (B, H, W, C)."""
