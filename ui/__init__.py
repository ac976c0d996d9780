"""The Streamlit pages and their parts: the door `streamlit_app.py` opens them."""
