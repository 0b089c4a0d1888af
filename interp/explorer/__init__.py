"""The page that ``streamlit run app.py`` serves. Drawing only: the numbers come from the library.

    places.py    which folders may be opened, decided by whoever starts the server
    models.py    opening a model once for all visitors, and using it one visitor at a time
    results.py   cached numbers: an answer, exact match, attention, patching
    session.py   what a visitor has chosen, mirrored in the page's address
    controls.py  the sidebar: model, list, mask
    parts.py     messages, sentences beside figures, the strip of outputs
    sort.py      the page "Sort", and its panels

A page is a function of a ``controls.View``; ``app.py`` lists the pages.
"""
