"""The vault over HTTP: what a request says, what a reply is, the API's routes and its description, the server.

floor 0   request     what a request says
          response    what routes reply
          schemas     the JSON of the API, described
floor 1   openapi     the API, described
          desk        what an instructor tells a vault
          connection  connections, with deadlines for whoever is slow to say what they want
floor 2   routes      the API's routes beside the question's
          serve       uvicorn and httptools, in one process
floor 3   app         the application: a question's route, and who may ask at all
"""
