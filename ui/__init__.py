"""The pages of the chat and their parts, in Streamlit; `streamlit_app.py` starts them."""
