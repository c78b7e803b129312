"""From a photo to its story: checked settings, the steps made from them, and the chain that runs them."""
