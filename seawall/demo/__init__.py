"""The demo: a real registry, real images, real pulls, a real failure.

stand       opens a Distribution registry in a container, or as a plain process
registry    what every stand is; containers and host are what it is made of
images      multi-architecture images of 1 to 50 MiB, pushed to it
traffic     pulls them (see pulls) at a fixed rate, in a process of its own
story       the main job told on top of them
"""
