"""From documents to what pages show. Pure: values in, values out."""
