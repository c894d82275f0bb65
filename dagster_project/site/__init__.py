"""The review site of a month: static pages on the published marts, no pay and no score in them."""
