"""Other ways from tables to groups of images on which a model fails, one module each.

This will hold the methods that PRIME is compared with, and the trees that need no tags: failure
directions (a linear SVM for each class, on embeddings), DOMINO (an error-aware mixture), keywords
of captions (Bias-to-Text) and Barlow (decision trees over robust features). Each stores groups of
images beside PRIME's modes, so that every question can be asked of all of them.
"""
