"""What the models beside an agent give it: features behind its observations, a potential, actions that are safe."""
