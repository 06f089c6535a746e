"""An operator's workflows over several services: the command line and the portals share them."""
