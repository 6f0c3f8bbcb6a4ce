"""The DHIS2 data store as a dict."""

__version__ = "0.1.0"
