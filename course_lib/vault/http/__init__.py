"""The vault over HTTP: what a request says, what a reply is, the API's routes and its description, the server.

floor 0   request   what a request says
          response  what routes reply
          openapi   the API, described
floor 1   desk      what an instructor tells a vault
          serve     uvicorn and httptools, with deadlines for whoever is slow to say what they want
floor 2   app       the API's routes
"""
