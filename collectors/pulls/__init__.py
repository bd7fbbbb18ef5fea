"""Pulls of images, counted: told (what sources say) -> looks (what an image is, and its verdict, kept for a
while) -> families (which index holds which image) -> windows (one count per client and five minutes).
"""
