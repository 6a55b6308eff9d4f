"""An image for an image: noise removed from photographs."""
